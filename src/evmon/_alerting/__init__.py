"""Alert rules, dashboards and tables, all made from `Thresholds` and the instruments."""
