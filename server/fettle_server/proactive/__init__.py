"""The proactive wing: the policy that agents judge by, and what is made of the faults they find."""
