"""What a dollar buys: successes per dollar of each arm, and how many times as many the candidate buys."""
