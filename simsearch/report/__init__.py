"""A build's figures as words and pages: summary, comparison, seeds, report.html."""
