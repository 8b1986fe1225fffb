-- Rows of every table, for plans and not for work: few of them belong together.
INSERT INTO hereafter_job (seq, id, queue, task, priority, created_at, due_at, envelope)
    SELECT n, gen_random_uuid(), 'q' || n % 3, 'task', 0, n, n, '' FROM generate_series(1, 20000) AS n;
INSERT INTO hereafter_ready SELECT 'q' || n % 3, 0, n, n FROM generate_series(1, 20000) AS n;
INSERT INTO hereafter_scheduled SELECT n, n, 'q' || n % 3, 0 FROM generate_series(1, 20000) AS n;
INSERT INTO hereafter_running SELECT n, n, n, 0, n, 'w' FROM generate_series(1, 20000) AS n;
INSERT INTO hereafter_outcome (seq, state, finished_at, keep_until)
    SELECT n, CASE n % 100 WHEN 0 THEN 'failed' ELSE 'done' END, n, n FROM generate_series(1, 20000) AS n;
INSERT INTO hereafter_finished (position, prune_at, jobs)
    SELECT n, n, '' FROM generate_series(1, 20000) AS n;
INSERT INTO hereafter_expiry SELECT n, n FROM generate_series(1, 20000) AS n;
INSERT INTO hereafter_tombstone SELECT gen_random_uuid(), n FROM generate_series(1, 20000) AS n;
INSERT INTO hereafter_paused SELECT 'p' || n FROM generate_series(1, 20) AS n;
INSERT INTO hereafter_input SELECT n, n + 1, 0, 0 FROM generate_series(1, 20000) AS n;
INSERT INTO hereafter_blocked SELECT n, 'q' || n % 3, n, 1, 0 FROM generate_series(1, 20000) AS n;
INSERT INTO hereafter_continued SELECT n, n + 1, 0, 0 FROM generate_series(1, 20000) AS n;
INSERT INTO hereafter_cancelled (position, prune_at, jobs) SELECT n, n, '' FROM generate_series(1, 20000) AS n;
INSERT INTO hereafter_unique SELECT n, gen_random_uuid(), 'task', 'key' || n, 'unfinished', 1, NULL
    FROM generate_series(1, 20000) AS n;
INSERT INTO hereafter_schedule (name, spec, origin, next_at, created_at, queue, task, priority, envelope)
    SELECT 's' || n, '', 'called', n, n, 'q', 'task', 0, '' FROM generate_series(1, 20000) AS n;
INSERT INTO hereafter_task (name) SELECT 'task' || n FROM generate_series(1, 2000) AS n;
INSERT INTO hereafter_sum (task) SELECT 'task' || n FROM generate_series(1, 20000) AS n;
INSERT INTO hereafter_event (last, count, at, events)
    SELECT n, 1, n, decode(repeat('00', 17), 'hex') FROM generate_series(1, 20000) AS n;
INSERT INTO hereafter_attempt SELECT n, 1, 1, 'w', n, n, 'failed', NULL FROM generate_series(1, 20000) AS n;
INSERT INTO hereafter_report (seq) SELECT n FROM generate_series(1, 20000) AS n;
INSERT INTO hereafter_log SELECT n, 1, n, 1, '' FROM generate_series(1, 20000) AS n;
INSERT INTO hereafter_chunk SELECT n, 0, 1, '' FROM generate_series(1, 20000) AS n;
INSERT INTO hereafter_outbox (seq) SELECT n FROM generate_series(1, 20000) AS n
