# What R says of the table of models_inputs.py: sh benchmarks/r/models_golden.sh
library(survival)
arguments <- commandArgs(trailingOnly = TRUE)
table <- read.csv(arguments[1])
exact <- coxph.control(eps = 1e-11, toler.chol = 1e-12, iter.max = 100)
days <- c(7, 30, 91, 183, 364)
at_zero <- data.frame(age = 0, hu = 0, steroid = 0)

answer <- function(fit, new) list(
  coefficients = as.numeric(coef(fit)), loglik = tail(fit$loglik, 1),
  hazard = summary(survfit(fit, newdata = new), times = days)$cumhaz
)

plain <- coxph(Surv(days, event) ~ age + hu + steroid, table, ties = "efron", control = exact)
weighted <- coxph(Surv(days, event) ~ age + hu + steroid, table, weights = weight, ties = "efron", control = exact)
ridged <- coxph(Surv(days, event) ~ ridge(age, hu, steroid, theta = 25, scale = FALSE), table, ties = "efron",
                control = exact)
knots <- as.numeric(quantile(table$age, c(0.05, 0.35, 0.65, 0.95)))
found <- list(
  versions = list(R = R.version.string, survival = as.character(packageVersion("survival")),
                  Hmisc = as.character(packageVersion("Hmisc"))),
  days = days, plain = answer(plain, at_zero), weighted = answer(weighted, at_zero),
  ridged = list(penalty = 25, coefficients = as.numeric(coef(ridged))),
  knots = knots,
  spline = Hmisc::rcspline.eval(table$age, knots = knots, inclx = TRUE, norm = 2)
)
writeLines(jsonlite::toJSON(found, digits = NA, auto_unbox = TRUE, matrix = "rowmajor", pretty = TRUE), arguments[2])
