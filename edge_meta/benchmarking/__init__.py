"""How long a bundle takes on this machine, stage by stage, and how much memory it needs."""
