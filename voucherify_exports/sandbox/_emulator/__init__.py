"""The exports API itself: a request in, an answer out."""
