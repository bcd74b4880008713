"""From raw counters to intervals of evidence: the parts of `feed.py`. They keep counts and do no I/O."""
