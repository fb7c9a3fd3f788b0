// Replies as objects with camelCase names; `raw` keeps the reply, also fields unknown here.

const time = (t) => (t ? new Date(t) : null);

export function toPrediction(d) {
  const isBatch = 'predictions' in d;
  return {
    isBatch,
    prediction: isBatch ? undefined : d.prediction,
    predictions: isBatch ? d.predictions : [d.prediction],
    probabilities: d.probabilities,
    modelVersion: d.model_version,
    responseTimeMs: d.response_time_ms,
    batchSize: d.batch_size,
    raw: d,
  };
}

export function toTestResult(d) {
  return {
    deploymentId: d.deployment_id,
    modelVersion: d.model_version,
    responseTimeMs: d.response_time_ms,
    inputSchema: d.input_schema,
    featuresRead: d.features_read,
    prediction: d.prediction ?? d.predictions,
    probabilities: d.probabilities,
    raw: d,
  };
}

export function toMetadata(d) {
  return {
    framework: d.framework ?? '',
    modelType: d.model_type ?? '',
    sizeMb: d.size_mb,
    inputShape: d.input_shape,
    outputShape: d.output_shape,
    raw: d,
  };
}

export function toConfiguration(d) {
  return {
    memoryMb: d.memory_mb,
    timeoutSeconds: d.timeout_seconds,
    minInstances: d.min_instances,
    maxInstances: d.max_instances,
  };
}

export function toSummary(d) {
  return { totalPredictions: d.total_predictions, avgLatencyMs: d.avg_latency_ms, errorRate: d.error_rate };
}

export function toMetrics(d) {
  const m = d.metrics;
  const t = d.time_series;
  return {
    deploymentId: d.deployment_id,
    period: { start: time(d.period.start), end: time(d.period.end) },
    requestCount: m.request_count,
    errorCount: m.error_count,
    avgLatencyMs: m.avg_latency_ms,
    p95LatencyMs: m.p95_latency_ms,
    p99LatencyMs: m.p99_latency_ms,
    coldStarts: m.cold_starts,
    uniqueUsers: m.unique_users,
    timeSeries: {
      timestamps: t.timestamps.map(time),
      requestCounts: t.request_counts,
      avgLatencies: t.avg_latencies,
      errorCounts: t.error_counts ?? [],
    },
    costEstimate: { totalUsd: d.cost_estimate.total_usd, breakdown: d.cost_estimate.breakdown },
    dashboardUrl: d.dashboard_url,
    raw: d,
  };
}

export function toVersion(d) {
  return {
    version: d.version,
    createdAt: time(d.created_at),
    status: d.status,
    isCurrent: d.is_current,
    changes: d.changes,
    error: d.error ?? '',
    raw: d,
  };
}

export function toRollback(d) {
  return { id: d.id, version: d.version, previousVersion: d.previous_version, raw: d };
}

export function toUser(d) {
  return {
    id: d.id,
    email: d.email,
    username: d.username,
    fullName: d.full_name ?? null,
    createdAt: time(d.created_at),
    deploymentCount: d.deployment_count ?? 0,
    totalPredictions: d.total_predictions ?? 0,
    raw: d,
  };
}

export function toToken(d) {
  return { accessToken: d.access_token, tokenType: d.token_type, user: d.user ? toUser(d.user) : null, raw: d };
}

export function toApiKey(d) {
  return {
    id: d.id,
    name: d.name,
    prefix: d.prefix,
    scopes: d.scopes,
    createdAt: time(d.created_at),
    lastUsedAt: time(d.last_used_at),
    expiresAt: time(d.expires_at),
    rateLimitPerMinute: d.rate_limit_per_minute ?? null,
    monthlyBudgetUsd: d.monthly_budget_usd ?? null,
    key: d.key,
    raw: d,
  };
}

export function toMember(d) {
  return { userId: d.user_id, email: d.email, username: d.username, role: d.role, joinedAt: time(d.joined_at), raw: d };
}

export function toInvitation(d) {
  return { email: d.email, role: d.role, invitation: d.invitation, expiresAt: time(d.expires_at), raw: d };
}

export function toWebhook(d) {
  return {
    id: d.id,
    url: d.url,
    events: d.events,
    status: d.status,
    createdAt: time(d.created_at),
    secret: d.secret,
    raw: d,
  };
}

export function toDelivery(d) {
  return {
    id: d.id,
    event: d.event,
    status: d.status,
    attempts: d.attempts,
    createdAt: time(d.created_at),
    raw: d,
  };
}
