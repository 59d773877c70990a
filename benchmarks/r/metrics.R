# The metrics of training/metrics, by R's own programs.
#
#   Rscript benchmarks/r/metrics.R INPUT.csv OUTPUT.json [HORIZON ...]
#
# INPUT.csv without horizons: columns risk, y (binary). With horizons: code (0 censored, 1 event, 2 competing), days, and
# one column risk_<horizon> for each. Needs survival, riskRegression, prodlim, pec, geepack, rms, cmprsk, jsonlite
# (Debian: r-cran-<name>). Each number stands beside the call that made it.
suppressPackageStartupMessages({
  library(survival); library(riskRegression); library(prodlim); library(geepack); library(rms); library(jsonlite)
})

curve_distances <- function(fitted, risk) {
  d <- abs(fitted - risk)
  list(ici = mean(d), e50 = unname(quantile(d, 0.5)), e90 = unname(quantile(d, 0.9)), emax = max(d))
}

binary <- function(data) {
  risk <- data$risk; y <- data$y; eta <- qlogis(risk)
  val <- val.prob(risk, y, pl = FALSE)                       # rms
  ranks <- Hmisc::rcorr.cens(risk, y)
  large <- glm(y ~ offset(eta), family = binomial)
  slope <- glm(y ~ eta, family = binomial)
  curve <- glm(y ~ rcs(eta, 4), family = binomial)
  at <- c(0.1, 0.2, 0.3)
  c(list(
    auc = unname(val["C (ROC)"]), auc_se = unname(ranks["S.D."]) / 2,
    brier = unname(val["Brier"]), scaled_brier = 1 - unname(val["Brier"]) / (mean(y) * (1 - mean(y))),
    calibration_slope = unname(val["Slope"]), calibration_slope_se = robust(slope)[2],
    calibration_in_the_large = unname(coef(large)), calibration_in_the_large_se = robust(large)[1],
    log_loss = -mean(dbinom(y, 1, risk, log = TRUE)), oe = mean(y) / mean(risk),
    net_benefit = sapply(at, function(t) mean(risk >= t & y == 1) - mean(risk >= t & y == 0) * t / (1 - t))
  ), curve_distances(fitted(curve), risk))
}

robust <- function(fit) {                                    # sandwich with HC0, by hand: the package is not in Debian's set
  x <- model.matrix(fit); r <- residuals(fit, "response")
  bread <- solve(crossprod(x * sqrt(fitted(fit) * (1 - fitted(fit)))))
  sqrt(diag(bread %*% crossprod(x * r) %*% bread))
}

gee <- function(columns, pseudo, offset, start) {
  data <- data.frame(id = seq_along(pseudo), pseudo = pseudo, offset = offset)
  data$columns <- columns
  geese(pseudo ~ columns - 1 + offset(offset), id = id, data = data, b = start, family = gaussian,
        mean.link = "cloglog", corstr = "independence", scale.fix = TRUE,
        control = geese.control(epsilon = 1e-10, maxit = 200))
}

calibrate <- function(risk, pseudo, smaller) {
  eta <- log(-log(1 - risk)); one <- rep(1, length(eta)); knots <- if (smaller >= 100) 4 else if (smaller >= 40) 3 else 2
  large <- gee(cbind(one), pseudo, eta, 0)
  slope <- gee(cbind(one, eta), pseudo, 0 * eta, c(0, 1))
  columns <- if (knots == 2) cbind(one, eta) else unclass(cbind(one, rcs(eta, knots)))[, 1:knots]
  curve <- gee(columns, pseudo, 0 * eta, c(0, 1, 0, 0)[1:knots])
  fitted <- 1 - exp(-exp(drop(columns %*% curve$beta)))
  c(list(calibration_in_the_large = unname(large$beta), calibration_in_the_large_se = sqrt(large$vbeta[1]),
         calibration_slope = unname(slope$beta[2]), calibration_slope_se = sqrt(slope$vbeta[2, 2])),
    curve_distances(fitted, risk))
}

incidence <- function(days, code, horizon) {
  states <- factor(code, 0:max(1, code))
  if (max(code) > 1) {
    fit <- summary(survfit(Surv(days, states) ~ 1), times = horizon)
    list(value = fit$pstate[, 2], se = fit$std.err[, 2])
  } else {
    fit <- summary(survfit(Surv(days, code) ~ 1, robust = TRUE), times = horizon)
    list(value = 1 - fit$surv, se = fit$std.err)
  }
}

pseudo_values <- function(days, code, horizon) {               # survival: infinitesimal jackknife
  rows <<- data.frame(days = days, states = factor(code, 0:max(1, code)), code = code)   # pseudo() looks for them globally
  if (max(code) > 1) pseudo(survfit(Surv(days, states) ~ 1, data = rows), times = horizon, type = "pstate")[, 2]
  else 1 - pseudo(survfit(Surv(days, code) ~ 1, data = rows), times = horizon, type = "survival")
}

ranks <- function(data, risk, horizon) {
  stays <- ifelse(data$code > 1, max(data$days) + 1, data$days)   # who dies stays in the risk set
  harrell <- concordance(Surv(stays, data$code == 1) ~ risk, reverse = TRUE, ymax = horizon, timefix = FALSE)
  uno <- if (max(data$code) > 1) NULL else
    concordance(Surv(data$days, data$code) ~ risk, reverse = TRUE, ymax = horizon, timewt = "n/G2", timefix = FALSE)
  # pec reads a matrix as risk with competing events and as survival without them
  wolbers <- pec::cindex(list(m = cbind(if (max(data$code) > 1) risk else 1 - risk)),
    formula = if (max(data$code) > 1) Hist(days, code) ~ 1 else Surv(days, code) ~ 1, data = data, eval.times = horizon,
    pred.times = horizon, cause = 1, verbose = FALSE, cens.model = "marginal", splitMethod = "noPlan")
  c(list(concordance = unname(harrell$concordance), concordance_se = sqrt(harrell$var),
         concordance_pec = unname(wolbers$AppCindex$m)),
    if (!is.null(uno)) list(concordance_uno = unname(uno$concordance), concordance_uno_se = sqrt(uno$var)))
}

at_horizon <- function(data, horizon) {
  data <- data[order(data$days, -data$code), ]               # pec::ipcw expects rows in order of time
  risk <- data[[paste0("risk_", horizon)]]
  data <- data.frame(days = data$days, code = data$code)
  form <- if (max(data$code) > 1) Hist(days, code) ~ 1 else Surv(days, code) ~ 1
  score <- Score(list(m = risk), formula = form, data = data, cause = 1, times = horizon, metrics = c("auc", "brier"),
                 summary = "ipa", cens.model = "km", se.fit = TRUE, null.model = TRUE)
  auc <- as.data.frame(score$AUC$score); brier <- subset(as.data.frame(score$Brier$score), model == "m")
  observed <- incidence(data$days, data$code, horizon)
  alone <- as.data.frame(cmprsk::timepoints(cmprsk::cuminc(data$days, data$code), horizon)$est)
  weights <- pec::ipcw(Surv(days, code > 0) ~ 1, data = data, method = "marginal", times = horizon,
                       subjectTimes = data$days, subjectTimesLag = 1)
  case <- data$code == 1 & data$days <= horizon
  weight <- ifelse(data$days > horizon, 1 / weights$IPCW.times, ifelse(data$code > 0, 1 / weights$IPCW.subjectTimes, 0))
  benefit <- sapply(c(0.1, 0.2, 0.3), function(t) {
    chosen <- risk >= t
    if (!any(chosen)) return(0)
    hits <- mean(chosen) * incidence(data$days[chosen], data$code[chosen], horizon)$value
    hits - (mean(chosen) - hits) * t / (1 - t)
  })
  c(list(horizon_days = horizon, rows = nrow(data), events = sum(case), observed = observed$value,
         observed_se = observed$se, observed_cmprsk = alone[1, 1], oe = observed$value / mean(risk),
         auc = auc$AUC, auc_se = auc$se, brier = brier$Brier, brier_se = brier$se, scaled_brier = brier$IPA,
         log_loss = -sum(weight * ifelse(case, log(risk), log(1 - risk))) / nrow(data), net_benefit = benefit),
    ranks(data, risk, horizon), calibrate(risk, pseudo_values(data$days, data$code, horizon), min(sum(case), sum(weight > 0 & !case))),
    list(cox_slope = unname(coef(coxph(Surv(pmin(days, horizon), case) ~ log(-log(1 - risk)), data = data)))))
}

versions <- function() {
  used <- c("survival", "riskRegression", "prodlim", "pec", "geepack", "rms", "Hmisc", "cmprsk")
  c(list(R = paste(R.version$major, R.version$minor, sep = ".")),
    setNames(lapply(used, function(p) as.character(packageVersion(p))), used))
}

arguments <- commandArgs(trailingOnly = TRUE)
data <- read.csv(arguments[1])
horizons <- as.numeric(arguments[-(1:2)])
result <- if (length(horizons)) lapply(horizons, function(h) at_horizon(data, h)) else list(binary(data))
write_json(list(versions = versions(), results = result), arguments[2], digits = 12, auto_unbox = TRUE, pretty = TRUE)
