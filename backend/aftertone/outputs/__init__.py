"""What a project gives away: an emotion for every clip as a table, and a data set folder."""
