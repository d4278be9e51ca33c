"""What the demo does, a topic a file: what is seeded, what is sent, and what must be there at the end.

Imported late: the actors find their broker through what the running demo announced.
"""

from . import experiments, exports, feedback, ideas, maintenance, media, publishing, transfers

#: In the order in which their jobs are sent.
TOPICS = (publishing, ideas, exports, feedback, experiments, transfers, media, maintenance)
