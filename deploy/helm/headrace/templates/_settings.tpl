{{- /* The service's settings as variables. */}}
{{- define "headrace.env" -}}
{{- with .Values.hosts }}
- name: POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
{{- end }}
- name: HEADRACE_MODELS
  value: {{ ternary .Values.models.address "/models" (eq .Values.models.from "address") | quote }}
{{- if eq .Values.models.from "address" }}
- name: TMPDIR # where the service keeps what it has fetched
  value: /models
{{- end }}
- name: HEADRACE_PORT
  value: "8000"
- name: HEADRACE_WORKERS
  value: {{ .Values.workers | quote }}
- name: HEADRACE_DRAIN_S
  value: {{ .Values.stop.drainSeconds | quote }}
- name: HEADRACE_STOP_TIMEOUT_S
  value: {{ .Values.stop.answerSeconds | quote }}
{{- with .Values.keys.apiKey }}
{{- if .secret }}
- name: HEADRACE_API_KEY
  valueFrom: {secretKeyRef: {name: {{ .secret | quote }}, key: {{ .entry | quote }}}}
{{- end }}
{{- end }}
{{- if .Values.keys.file.secret }}
- name: HEADRACE_KEYS_FILE
  value: {{ printf "/etc/headrace/keys/%s" .Values.keys.file.entry | quote }}
{{- end }}
{{- if .Values.tls.secret }}
- name: HEADRACE_TLS_CERTIFICATE
  value: /etc/headrace/tls/tls.crt
- name: HEADRACE_TLS_KEY
  value: /etc/headrace/tls/tls.key
{{- end }}
{{- if .Values.hosts }}
- name: HEADRACE_HOSTS
  value: {{ include "headrace.hosts" . | quote }}
{{- end }}
{{- if .Values.metrics.open }}
- name: HEADRACE_OPEN_METRICS
  value: "true"
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ ternary $value (toJson $value) (kindIs "string" $value) | quote }}
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}
