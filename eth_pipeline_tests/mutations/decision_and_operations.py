"""Deliberate bugs from the model bundle on: verification, gate, signal, account, alerts, board.

Belongs here: bugs by which something would act, or stay silent, that must not. Does not belong: data and training
(`data_and_model`).
"""

from eth_pipeline_tests.mutations.bug import Bug

_UNPROVEN = """from eth_pipeline.registry.bundles import verification as unproven

            there = home / "production" / known.folder
            bundle = VerifiedBundle(
                there, unproven.read_contract(there), unproven.read_decision(there), None, known.fingerprint
            )
"""

BUGS = (
    Bug(
        "a bundle is loaded without its signature being verified",
        "registry/bundles/verification.py",
        '    verify_folder(folder, public_keys=expected["public_keys"])\n',
        "",
        ("test_registry_verification.py::test_each_tampering_is_refused_with_its_own_error",),
    ),
    Bug(
        "an expired model is accepted",
        "registry/bundles/verification.py",
        "    if expired(contract, now=now):\n",
        "    if False:\n",
        ("test_registry_verification.py::test_a_bundle_is_refused_from_the_instant_of_its_expiry",),
    ),
    Bug(
        "a refused candidate may be loaded",
        "registry/bundles/verification.py",
        "if not decision.promoted or decision.failed_gates:",
        "if False:",
        ("test_registry_verification.py::test_a_refused_candidate_is_signed_but_never_loaded",),
    ),
    Bug(
        "a paper decision allows live",
        "registry/bundles/verification.py",
        'if decision.phase not in (phase, "live"):',
        'if decision.phase not in (phase, "live", "paper"):',
        ("test_registry_verification.py::test_a_paper_decision_does_not_allow_live",),
    ),
    Bug(
        "a promotion is not signed",
        "registry/bundles/bundle.py",
        "    sign_folder(folder, private_key=private_key)\n",
        "",
        ("test_registry_bundle.py",),
    ),
    Bug(
        "a rollback without the registry does not verify its target",
        "registry/promotions/rollback.py",
        '            bundle = verify_bundle(home / "production" / known.folder, **expected)\n',
        f"            {_UNPROVEN}",
        ("test_registry_rollback.py::test_without_the_registry_a_corrupt_kept_bundle_is_passed_over",),
    ),
    Bug(
        "an archive may write beside its folder",
        "registry/bundles/archive.py",
        "                _require_harmless(members, archive, shape=shape, size_bytes=size_bytes)\n",
        "",
        ("test_registry_tampering.py::test_an_archive_with_foreign_members_is_refused_and_leaves_nothing",),
    ),
    Bug(
        "the promotion log is not checked as a chain",
        "registry/promotions/promotion_log.py",
        "            if entry.previous_sha256 != previous or entry.sequence != number:\n",
        "            if False:\n",
        ("test_registry_promotion_log.py",),
    ),
    Bug(
        "a stale stream counts as fresh",
        "signals/gating/freshness.py",
        "lag_hours is not None and lag_hours < limits.max_lag_hours",
        "lag_hours is not None",
        ("test_signals_freshness.py",),
    ),
    Bug(
        "the lag is counted from when a row was published",
        "signals/gating/freshness.py",
        "(now - newest.data_time) / HOUR",
        "(now - newest.available_at) / HOUR",
        ("test_signals_freshness.py",),
    ),
    Bug(
        "freshness is measured at the hour and not at exchange time",
        "signals/evidence.py",
        "measure_freshness(lake, settings=settings, now=now)",
        "measure_freshness(lake, settings=settings, now=decision_time)",
        ("test_signals_evidence.py",),
    ),
    Bug(
        "a gap in the newest hours is no reason",
        "signals/gating/gate.py",
        "    reasons += [_gap_reason(gap) for gap in gaps or ()]\n",
        "",
        ("test_signals_gate.py",),
    ),
    Bug(
        "the consensus scores bars that have not closed",
        "signals/technical/consensus.py",
        '        & (pl.col("close_time") <= decision_time)\n        & (pl.col("available_at") <= decision_time)\n',
        "",
        ("test_signals_consensus.py",),
    ),
    Bug(
        "the kill switch stops nothing",
        "signals/gating/gate.py",
        "    if kill_switch is not None:\n",
        "    if False:\n",
        ("test_signals_gate.py",),
    ),
    Bug(
        "a forecast in shadow mode takes part",
        "signals/gating/gate.py",
        "settings.ml_weight > 0 and not settings.shadow_mode",
        "settings.ml_weight > 0",
        ("test_signals_gate.py", "test_signals_hourly.py"),
    ),
    Bug(
        "a blocked hour keeps its direction and its size",
        "signals/hourly.py",
        "    if not verdict.allow_open or size.refusal:\n",
        "    if size.refusal:\n",
        ("test_signals_hourly.py",),
    ),
    Bug(
        "a distrusted forecast is no reason",
        "signals/hourly.py",
        "    if distrusted and counts:\n",
        "    if False:\n",
        ("test_signals_hourly.py",),
    ),
    Bug(
        "the forecast of a candidate acts",
        "signals/forecasting/forecast_rows.py",
        'source and role == "production"',
        "source",
        ("test_signals_shadow.py",),
    ),
    Bug(
        "the rows of a candidate are read as production's",
        "signals/forecasting/forecast_rows.py",
        '    rows = rows.filter(pl.col("role") == "production")\n',
        "",
        ("test_signals_shadow.py",),
    ),
    Bug(
        "quantiles in use may cross",
        "signals/forecasting/forecast.py",
        "np.sort(values + np.array(model.offsets))",
        "values + np.array(model.offsets)",
        ("test_signals_forecast.py", "test_signals_guards.py"),
    ),
    Bug(
        "no cap bounds the size of one position",
        "signals/sizing/size.py",
        '("single_cap", settings.max_single_share)',
        '("single_cap", math.inf)',
        ("test_signals_sizing.py",),
    ),
    Bug(
        "costs do not count against the edge",
        "signals/sizing/size.py",
        "    if expected <= 0:\n",
        "    if expected <= -1:\n",
        ("test_signals_sizing.py",),
    ),
    Bug(
        "a second evaluation of an hour overwrites the first",
        "operations/signal_log.py",
        "    return was_blocked and in_time\n",
        "    return in_time\n",
        ("test_operations_signal_log.py",),
    ),
    Bug(
        "a short is opened as a long",
        "trading/book.py",
        "        quantity = order.side * size\n",
        "        quantity = size\n",
        ("test_trading_account.py", "test_trading_book.py"),
    ),
    Bug(
        "the entry pays its fee twice",
        "trading/book.py",
        '        add("fee", price=price, cash=-fee, note=known.note)\n',
        '        add("fee", price=price, cash=-2 * fee, note=known.note)\n',
        ("test_trading_account.py",),
    ),
    Bug(
        "funding is never charged",
        "trading/book.py",
        "        if not held or settlement in self._charged:\n",
        "        if True:\n",
        ("test_trading_account.py",),
    ),
    Bug(
        "funding is charged again when it is handed in again",
        "trading/book.py",
        "        if not held or settlement in self._charged:\n",
        "        if not held:\n",
        ("test_trading_book.py",),
    ),
    Bug(
        "an order is filled at the close of its hour",
        "trading/book.py",
        "        reference = known.fills.open\n        price = fill_price",
        "        reference = known.fills.close\n        price = fill_price",
        ("test_trading_reference.py",),
    ),
    Bug(
        "slippage is a gift",
        "trading/fills.py",
        "(1 + math.copysign(slippage_bps * BPS, quantity_eth))",
        "(1 - math.copysign(slippage_bps * BPS, quantity_eth))",
        ("test_trading_fills.py",),
    ),
    Bug(
        "a loss exactly at its limit is allowed",
        "trading/risk.py",
        "    if lost < allowed:\n",
        "    if lost <= allowed:\n",
        ("test_trading_risk.py",),
    ),
    Bug(
        "the dead man's switch stays silent",
        "operations/alerting/deadman.py",
        "    elif exchange_now >= seen.newest + _DUE_AFTER + _PAST_DUE + grace:\n",
        "    elif False:\n",
        ("test_operations_deadman.py",),
    ),
    Bug(
        "an alert that was not taken once is never sent again",
        "operations/alerting/book.py",
        '"WHERE delivered_at IS NULL AND next_attempt_at <= ? AND target < ? ORDER BY number"',
        '"WHERE delivered_at IS NULL AND attempts = 0 AND next_attempt_at <= ? AND target < ? ORDER BY number"',
        ("test_operations_alerting.py",),
    ),
    Bug(
        "the board shows signals of another phase",
        "board/reading/source.py",
        'owner = (pl.col("symbol") == symbol) & (pl.col("phase") == phase)',
        'owner = pl.col("symbol") == symbol',
        ("test_board_api.py::test_records_of_another_phase_are_neither_shown_nor_fill_a_hole",),
    ),
    Bug(
        "the board answers without a token",
        "board/web/door.py",
        "if not (path in _OPEN or path.startswith(STATIC) or self._sessions.admits(request)):",
        "if False:",
        ("test_board_door.py",),
    ),
    Bug(
        "a session of the board never ends",
        "board/web/door.py",
        " and not _ended(end, self._clock.now())",
        "",
        ("test_board_door.py",),
    ),
    Bug(
        "the board's token is compared letter by letter",
        "board/web/door.py",
        "hmac.compare_digest(_digest(token), self._digest)",
        "_digest(token) == self._digest",
        ("test_security_tokens.py",),
    ),
    Bug(
        "the inference service's token is compared letter by letter",
        "serving/door.py",
        "hmac.compare_digest(_digest(token.strip()), self._digest)",
        "_digest(token.strip()) == self._digest",
        ("test_security_tokens.py",),
    ),
)
