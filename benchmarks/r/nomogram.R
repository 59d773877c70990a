# The nomogram of a logistic model by R's rms, for tests/golden/test_nomogram_rms.py.
# Debian: r-cran-rms, r-cran-jsonlite. From the root: Rscript benchmarks/r/nomogram.R tests/golden/nomogram/rms.json
suppressPackageStartupMessages(library(rms))
out <- commandArgs(trailingOnly = TRUE)[1]
set.seed(7)
n <- 1500
d <- data.frame(
  detection = rbinom(n, 1, 0.7), ct_value_hu = pmin(pmax(rnorm(n, 78, 25), 15), 150), genant_grade = sample(0:3, n, TRUE),
  viscosity = factor(sample(0:2, n, TRUE)), cortical_disruption = rbinom(n, 1, 0.35),
  planned_volume_ml = pmin(pmax(rnorm(n, 4.6, 1.2), 1.5), 9), intravertebral_cleft = rbinom(n, 1, 0.2),
  basivertebral_foramen_enlarged = rbinom(n, 1, 0.25), procedure_pkp = rbinom(n, 1, 0.4), treated_count = sample(1:4, n, TRUE))
eta <- with(d, -2 + 0.8 * detection + ((ct_value_hu - 85) / 40)^2 - 0.01 * ct_value_hu + 0.2 * genant_grade - 0.4 * (viscosity == "2") +
  0.9 * cortical_disruption + 0.15 * planned_volume_ml + 0.2 * intravertebral_cleft - 0.6 * procedure_pkp)
d$y <- rbinom(n, 1, plogis(eta))
knots <- list(ct_value_hu = c(40, 68, 88, 120), planned_volume_ml = c(2.6, 4.1, 5.0, 6.6))
dd <- datadist(d)
options(datadist = "dd")
fit <- lrm(y ~ detection + rcs(ct_value_hu, c(40, 68, 88, 120)) + genant_grade + viscosity + cortical_disruption +
  rcs(planned_volume_ml, c(2.6, 4.1, 5.0, 6.6)) + intravertebral_cleft + basivertebral_foramen_enlarged + procedure_pkp +
  treated_count, data = d)
at <- list(detection = 0:1, ct_value_hu = seq(20, 140, length.out = 2001), genant_grade = 0:3, cortical_disruption = 0:1,
  planned_volume_ml = seq(2, 8, length.out = 2001), intravertebral_cleft = 0:1, basivertebral_foramen_enlarged = 0:1,
  procedure_pkp = 0:1, treated_count = 1:4)
risks <- c(0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8)
drawn <- do.call(nomogram, c(list(fit, fun = plogis, fun.at = risks, funlabel = "risk", maxscale = 100), at))
names <- setdiff(names(d), "y")
axes <- lapply(names, function(name) {
  axis <- drawn[[name]]
  keep <- if (length(axis$points) > 100) seq(1, length(axis$points), by = 50) else seq_along(axis$points)
  value <- if (name == "viscosity") 0:2 else axis[[name]]
  list(value = as.numeric(value)[keep], points = as.numeric(axis$points)[keep])
})
names(axes) <- names
jsonlite::write_json(
  list(made_by = paste("rms", packageVersion("rms"), "by benchmarks/r/nomogram.R"), knots = knots,
    intercept = unname(coef(fit)[1]), coefficients = unname(coef(fit)[-1]), axes = axes,
    risk = list(value = drawn$risk$fat, total_points = drawn$risk$x)),
  out, digits = 12, auto_unbox = TRUE)
