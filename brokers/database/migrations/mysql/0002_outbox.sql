-- Jobs that became ready and were not sent yet by a broker that carries them to the workers. Rows
-- are written by a trigger of `ready`, which is made when the outbox is opened; before that there is
-- none of either. A row may outlive the time in which its job is ready; upkeep deletes it then. A job that
-- becomes ready again has a new row. `held_until` is a time before which it is somebody's to send.
--
-- Once the outbox is open, `lock` has a row 3: a trigger is no part of a transaction, and the rows of
-- jobs that were ready before are written after it.
CREATE TABLE IF NOT EXISTS hereafter_outbox (
    entry      BIGINT NOT NULL AUTO_INCREMENT,
    seq        BIGINT NOT NULL,
    held_until BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (entry),
    KEY by_job (seq)
) ENGINE = InnoDB;
