-- Jobs that became ready and were not sent yet by a broker that carries them to the workers. Rows
-- are written by a trigger of `hereafter_ready`, which is made when the outbox is opened; before that
-- there is none of either. A row may outlive the time in which its job is ready; upkeep deletes it
-- then. A job that becomes ready again has a new row, with a number that no other has had.
-- `held_until` is a time before which it is somebody's to send.
CREATE TABLE hereafter_outbox (
    entry      INTEGER PRIMARY KEY AUTOINCREMENT,
    seq        INTEGER NOT NULL,
    held_until INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX hereafter_outbox_job ON hereafter_outbox (seq);
