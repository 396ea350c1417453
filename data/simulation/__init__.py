"""What makes pairs whose change is known: volumes, films, findings in both."""
