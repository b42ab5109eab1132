"""What the processes of one server share: messages, the scoreboard, the plan, the run's files."""
