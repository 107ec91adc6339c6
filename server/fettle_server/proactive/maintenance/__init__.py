"""Maintenance: work that somebody should do by a day, proposed by Fettle or by the calendar, done by people."""
