"""The reactive wing: incidents and their handling."""
