//! Statements about schedules.

use crate::database::dialect::Statement;

/// Stores a schedule, or makes it the new one. One that goes on keeps its next tick.
pub(in crate::database) const PUT_SCHEDULE: Statement = Statement::new(
    "INSERT INTO hereafter_schedule
        (name, spec, origin, next_at, created_at, queue, task, priority, expires_in, envelope)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (name) DO UPDATE SET
        next_at = CASE WHEN hereafter_schedule.spec = excluded.spec
                            AND hereafter_schedule.next_at IS NOT NULL
                       THEN hereafter_schedule.next_at ELSE excluded.next_at END,
        spec = excluded.spec, origin = excluded.origin, queue = excluded.queue,
        task = excluded.task, priority = excluded.priority, expires_in = excluded.expires_in,
        envelope = excluded.envelope",
);

/// What a put and a firing look at.
pub(in crate::database) const SCHEDULE_STANDING: Statement =
    Statement::new("SELECT spec, next_at, paused, runs FROM hereafter_schedule WHERE name = ?");

pub(in crate::database) const SCHEDULE: Statement =
    Statement::new("SELECT * FROM hereafter_schedule WHERE name = ?");

/// All of them, by name; listing them is what it is for.
pub(in crate::database) const SCHEDULES: Statement =
    Statement::new("SELECT * FROM hereafter_schedule ORDER BY name");

pub(in crate::database) const SCHEDULES_DUE: Statement = Statement::new(
    "SELECT * FROM hereafter_schedule INDEXED BY hereafter_schedule_due
     WHERE paused = 0 AND next_at IS NOT NULL AND next_at <= ? ORDER BY next_at, name LIMIT ?",
)
.on_servers(
    "SELECT * FROM hereafter_schedule
     WHERE paused = 0 AND next_at IS NOT NULL AND next_at <= ? ORDER BY next_at, name LIMIT ?",
);

pub(in crate::database) const SCHEDULE_NEXT: Statement = Statement::new(
    "SELECT min(next_at) AS next_at FROM hereafter_schedule INDEXED BY hereafter_schedule_due
     WHERE paused = 0 AND next_at IS NOT NULL",
)
.on_servers(
    "SELECT (SELECT next_at FROM hereafter_schedule
             WHERE paused = 0 AND next_at IS NOT NULL ORDER BY next_at LIMIT 1) AS next_at",
);

pub(in crate::database) const FIRE_SCHEDULE: Statement = Statement::new(
    "UPDATE hereafter_schedule SET next_at = ?, last_at = coalesce(?, last_at), runs = ?
     WHERE name = ?",
);

pub(in crate::database) const HOLD_SCHEDULE: Statement =
    Statement::new("UPDATE hereafter_schedule SET paused = ? WHERE name = ?");

pub(in crate::database) const DELETE_SCHEDULE: Statement =
    Statement::new("DELETE FROM hereafter_schedule WHERE name = ?");
