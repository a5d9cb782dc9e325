"""What a hostile document, workspace, store or base cannot do (SECURITY.md)."""
