"""What a dollar buys: successes per dollar of each arm, and the candidate's divided by the reference's."""
