"""The platform's priorities; lower numbers go first.

On Dramatiq's stock brokers a priority orders what one worker has fetched already, no more.
"""

CRITICAL = 1
HIGH = 25
NORMAL = 50
LOW = 75
BACKGROUND = 100
