"""What can be done. One public function is one transaction with its ledger entries."""
