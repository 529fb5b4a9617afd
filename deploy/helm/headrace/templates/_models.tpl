{{- /* What brings the models to where the service reads them. */}}
{{- define "headrace.models.init" -}}
{{- $models := .Values.models -}}
{{- if has $models.from (list "copy" "s3") }}
- name: models
  {{- if eq $models.from "copy" }}
  image: {{ $models.copy.image | quote }}
  command: ["cp", "-RLf", {{ printf "%s/." (trimSuffix "/" $models.copy.path) | quote }}, "/models"]
  {{- else }}
  {{- with $models.s3 }}
  image: {{ .image | quote }}
  args:
    - sync
    - {{ printf ":s3:%s/%s" .bucket (trimAll "/" .prefix) | trimSuffix "/" | quote }}
    - /models
    - --config=
    # A prefix where nothing lies is a mistake; so that a second run is none, it copies everything anew.
    - --error-on-no-transfer
    - --ignore-times
    - --timeout={{ .timeoutSeconds }}s
    - --contimeout={{ .timeoutSeconds }}s
    - --retries=1
    - --low-level-retries=3
    - --use-json-log
    - --log-level=INFO
  env:
    - {name: RCLONE_S3_PROVIDER, value: {{ .provider | quote }}}
    - {name: RCLONE_S3_ENV_AUTH, value: "true"}
    {{- with .endpoint }}
    - {name: RCLONE_S3_ENDPOINT, value: {{ . | quote }}}
    {{- end }}
    {{- with .region }}
    - {name: RCLONE_S3_REGION, value: {{ . | quote }}}
    {{- end }}
    - {name: HOME, value: /tmp}
  {{- end }}
  {{- with $models.credentialsSecret }}
  envFrom:
    - secretRef: {name: {{ . | quote }}}
  {{- end }}
  {{- end }}
  {{- with .Values.securityContext }}
  securityContext: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $models.resources }}
  resources: {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    - {name: models, mountPath: /models}
    - {name: tmp, mountPath: /tmp}
{{- end }}
{{- end }}

{{- define "headrace.models.volume" -}}
{{- with .Values.models }}
{{- if eq .from "claim" }}
- name: models
  persistentVolumeClaim: {claimName: {{ .claim.name | quote }}, readOnly: true}
{{- else if ne .from "image" }}
- name: models
  emptyDir: {sizeLimit: {{ .sizeLimit }}}
{{- end }}
{{- end }}
{{- end }}

{{- define "headrace.models.mount" -}}
{{- with .Values.models }}
{{- if ne .from "image" }}
- name: models
  mountPath: /models
  readOnly: {{ ne .from "address" }}
  {{- if and (eq .from "claim") .claim.subPath }}
  subPath: {{ .claim.subPath | quote }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* What may be called from a pod: names, and the store that models come from, by its port. */}}
{{- define "headrace.egress" -}}
{{- $rules := .Values.networkPolicy.egress -}}
{{- with .Values.models -}}
{{- if has .from (list "s3" "address") -}}
{{- $store := urlParse (ternary .s3.endpoint "" (eq .from "s3")) -}}
{{- $usual := ternary 80 443 (eq $store.scheme "http") -}}
{{- $port := regexFind ":[0-9]+$" $store.host | trimPrefix ":" | default $usual | int -}}
{{- $names := list (dict "protocol" "UDP" "port" 53) (dict "protocol" "TCP" "port" 53) -}}
{{- $rules = prepend $rules (dict "ports" (append $names (dict "protocol" "TCP" "port" $port))) -}}
{{- end -}}
{{- end -}}
{{- toYaml $rules -}}
{{- end }}
