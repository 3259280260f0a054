"""What attackers with packets alone cost a boot: scenarios in virtual time, each with a figure."""
