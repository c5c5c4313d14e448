"""The leaderboard: rows of results/*.json become ranks, tables, figures and one page."""
