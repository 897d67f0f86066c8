"""The verifiers, one file each; `registry` finds them and those that other packages bring."""
