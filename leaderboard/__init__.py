"""Records to standings: submissions, their checks, the site, the regression check. No torch in here."""
