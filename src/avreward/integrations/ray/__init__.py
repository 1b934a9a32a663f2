"""Score data sets with Ray Data: actors with warm models, on one machine or many."""
