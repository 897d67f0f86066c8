"""Verifiers, the policy that says which must speak, verdicts, and the ruling over them."""
