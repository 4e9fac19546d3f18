"""Closes a kept connection a little while after its answer, in the time in which the next request comes."""
keep_alive_timeout = 0.01
loglevel = "warning"
