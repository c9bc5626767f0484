"""The leaderboard's commands; the command line finds them by their entry points."""
