-- Jobs that became ready and were not sent yet by a broker that carries them to the workers. Rows
-- are written by a trigger of `ready`, which is made when the outbox is opened; before that there is
-- none of either. A row may outlive the time in which its job is ready; upkeep deletes it then. A job that
-- becomes ready again has a new row. `held_until` is a time before which it is somebody's to send: it
-- changes no indexed column, so there is room for it on each page.
CREATE TABLE hereafter_outbox (
    entry      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    seq        bigint NOT NULL,
    held_until bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_insert_threshold = -1, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX outbox_job ON hereafter_outbox (seq);
