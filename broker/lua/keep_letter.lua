-- Keeps a message, whole, as a dead letter: its worker cannot send it.
-- KEYS: base
-- DERIVED: base:xq:*, base:xm:*
-- ARGV: queue message_id enqueue_id record dead_ttl_ms
-- Returns: nothing
-- NEEDS: dead_letters
local queue, message_id, enqueue_id, record, dead_ttl_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
import_dead_letter(queue, message_id, enqueue_id, record, now, dead_ttl_ms)
