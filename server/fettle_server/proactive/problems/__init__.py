"""Problems: what alike incidents in several schools, or of one model, have in common."""
