//! Statements about schedules.

/// Stores a schedule, or makes it the new one. One that goes on keeps its next tick.
pub(in crate::sqlite) const PUT_SCHEDULE: &str = "INSERT INTO hereafter_schedule
        (name, spec, origin, next_at, created_at, queue, task, priority, expires_in, envelope)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (name) DO UPDATE SET
        next_at = CASE WHEN spec = excluded.spec AND next_at IS NOT NULL
                       THEN next_at ELSE excluded.next_at END,
        spec = excluded.spec, origin = excluded.origin, queue = excluded.queue,
        task = excluded.task, priority = excluded.priority, expires_in = excluded.expires_in,
        envelope = excluded.envelope";

/// What a put and a firing look at.
pub(in crate::sqlite) const SCHEDULE_STANDING: &str =
    "SELECT spec, next_at, paused, runs FROM hereafter_schedule WHERE name = ?";

pub(in crate::sqlite) const SCHEDULE: &str = "SELECT * FROM hereafter_schedule WHERE name = ?";

/// All of them, by name; listing them is what it is for.
pub(in crate::sqlite) const SCHEDULES: &str = "SELECT * FROM hereafter_schedule ORDER BY name";

pub(in crate::sqlite) const SCHEDULES_DUE: &str =
    "SELECT * FROM hereafter_schedule INDEXED BY hereafter_schedule_due
     WHERE paused = 0 AND next_at IS NOT NULL AND next_at <= ? ORDER BY next_at, name LIMIT ?";

pub(in crate::sqlite) const SCHEDULE_NEXT: &str =
    "SELECT min(next_at) AS next_at FROM hereafter_schedule INDEXED BY hereafter_schedule_due
     WHERE paused = 0 AND next_at IS NOT NULL";

pub(in crate::sqlite) const FIRE_SCHEDULE: &str =
    "UPDATE hereafter_schedule SET next_at = ?, last_at = coalesce(?, last_at), runs = ?
     WHERE name = ?";

pub(in crate::sqlite) const HOLD_SCHEDULE: &str =
    "UPDATE hereafter_schedule SET paused = ? WHERE name = ?";

pub(in crate::sqlite) const DELETE_SCHEDULE: &str = "DELETE FROM hereafter_schedule WHERE name = ?";
