{{- define "jobpools.labels" -}}
app.kubernetes.io/name: jobpools
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "jobpools.operator" }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}-operator{{ end }}
{{- define "jobpools.valkey" }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}-valkey{{ end }}

{{- /* The Secret with the URL: the user's, or ours. */ -}}
{{- define "jobpools.redisSecret" }}{{ .Values.redis.existingSecret.name | default (printf "%s-redis" (.Release.Name | trunc 40 | trimSuffix "-")) }}{{ end }}

{{- define "jobpools.operatorSelector" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "jobpools.valkeySelector" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: valkey
{{- end }}

{{- /* Exactly one place for the jobs. */ -}}
{{- define "jobpools.checkRedis" -}}
{{- $given := compact (list .Values.redis.url .Values.redis.existingSecret.name (ternary "valkey" "" .Values.valkey.enabled)) }}
{{- if ne (len $given) 1 }}
{{- fail "say where jobs are kept, once: redis.url, or redis.existingSecret.name, or valkey.enabled=true (the default; set it to false with the other two)" }}
{{- end }}
{{- end }}
