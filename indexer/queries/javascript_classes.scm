; What JavaScript says in another way than TypeScript.

; Definitions:
(field_definition property: (property_identifier) @name value: [
  (arrow_function body: (_) @body)
  (function_expression body: (_) @body)
]) @definition.method
