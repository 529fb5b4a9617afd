{{- define "headrace.name" -}}
{{- $name := ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) -}}
{{- $name | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "headrace.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "headrace.labels" -}}
{{ include "headrace.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "headrace.serviceAccount" -}}
{{- $own := ternary (include "headrace.name" .) "default" .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default $own -}}
{{- end }}

{{- define "headrace.image" -}}
{{- with .Values.image -}}
{{- $tag := .tag | default (printf "%s%s" $.Chart.AppVersion (ternary "-gpu" "" (gt (int $.Values.gpu.count) 0))) -}}
{{- ternary (printf "%s@%s" .repository .digest) (printf "%s:%s" .repository $tag) (ne .digest "") -}}
{{- end -}}
{{- end }}

{{- define "headrace.scheme" -}}
{{- ternary "HTTPS" "HTTP" (ne .Values.tls.secret "") -}}
{{- end }}

{{- /* With every name of the Service in the cluster, and the pod's address, which probes and scrapes call. */}}
{{- define "headrace.hosts" -}}
{{- $name := include "headrace.name" . -}}
{{- $there := printf "%s.%s" $name .Release.Namespace -}}
{{- $names := list $name $there (printf "%s.svc" $there) (printf "%s.svc.cluster.local" $there) -}}
{{- concat .Values.hosts $names (list "$(POD_IP)" "[$(POD_IP)]") | toJson -}}
{{- end }}
