{{- define "jobpools.labels" -}}
app.kubernetes.io/name: jobpools
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "jobpools.operator" }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}-operator{{ end }}
{{- define "jobpools.valkey" }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}-valkey{{ end }}

{{- /* Name of the Secret that holds the URL: the user's, or the chart's. */ -}}
{{- define "jobpools.redisSecret" }}{{ .Values.redis.existingSecret.name | default (printf "%s-redis" (.Release.Name | trunc 40 | trimSuffix "-")) }}{{ end }}

{{- define "jobpools.operatorSelector" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "jobpools.valkeySelector" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: valkey
{{- end }}

{{- /* Fail unless exactly one Redis is chosen. */ -}}
{{- define "jobpools.checkRedis" -}}
{{- $given := compact (list .Values.redis.url .Values.redis.existingSecret.name (ternary "valkey" "" .Values.valkey.enabled)) }}
{{- if ne (len $given) 1 }}
{{- fail "choose exactly one Redis: redis.url, redis.existingSecret.name, or valkey.enabled=true (the default; set it to false with the other two)" }}
{{- end }}
{{- end }}
