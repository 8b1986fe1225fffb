-- Jobs that go on as others. Such a job is blocked as well, so a store without rows in that table
-- has none in this one.

-- What ends as what. A row stays while its job is not done, cancelled or deleted: so long is the
-- outcome of `continued_by` kept. Its job has no rows as a dependant in `hereafter_input`, where an
-- input is always older; `continued_by` may be newer. Together the edges of both tables make no
-- cycle. `keep_ms` is null for a job of which nothing is kept.
CREATE TABLE hereafter_continued (
    seq          INTEGER PRIMARY KEY,
    continued_by INTEGER NOT NULL,
    keep_ms      INTEGER CHECK (keep_ms >= 0),
    owned        INTEGER NOT NULL
) STRICT;

CREATE INDEX hereafter_continued_by ON hereafter_continued (continued_by);
