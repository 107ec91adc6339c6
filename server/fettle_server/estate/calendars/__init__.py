"""Schools' calendars: when a school is open, shut, or sits exams."""
