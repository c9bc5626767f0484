"""Records to standings: submissions, their checks, the site, the regression check (design section 3). No torch in here."""
