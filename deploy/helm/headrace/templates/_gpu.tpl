{{- /* What a GPU asks for beside what all pods do. */}}
{{- define "headrace.resources" -}}
{{- $limits := .Values.resources.limits | default dict -}}
{{- with .Values.gpu }}
{{- if .count }}
{{- $limits = merge (dict .resource (int .count)) $limits -}}
{{- end }}
{{- end }}
{{- merge (dict "limits" $limits) .Values.resources | toYaml }}
{{- end }}

{{- define "headrace.tolerations" -}}
{{- $tolerations := .Values.tolerations -}}
{{- with .Values.gpu }}
{{- if .count }}
{{- $tolerations = append $tolerations (dict "key" .resource "operator" "Exists" "effect" "NoSchedule") -}}
{{- end }}
{{- end }}
{{- with $tolerations }}{{ toYaml . }}{{ end }}
{{- end }}
