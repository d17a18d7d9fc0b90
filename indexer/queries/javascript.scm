; What JavaScript and TypeScript have in common; what the captures mean is told in python.scm.

(statement_block (_) @statement)
(statement_block . (_) @first)
(class_body (_) @statement)
(class_body . (_) @first)
(object (_) @statement)
(object . (_) @first)
(switch_body (_) @statement)
(switch_case body: (_) @statement)
(switch_default body: (_) @statement)

[
  (else_clause)
  (catch_clause)
  (finally_clause)
] @statement

(comment) @comment
(decorator) @comment

[(statement_block) (ERROR)] @block

; Definitions:
(export_statement declaration: (_) @inner) @outer

[(function_declaration) (generator_function_declaration)] @definition.function
(class_declaration) @definition.class
(method_definition) @definition.method

(lexical_declaration (variable_declarator name: (identifier) @name value: [
  (arrow_function body: (_) @body)
  (function_expression body: (_) @body)
  (generator_function body: (_) @body)
])) @definition.function
(variable_declaration (variable_declarator name: (identifier) @name value: [
  (arrow_function body: (_) @body)
  (function_expression body: (_) @body)
  (generator_function body: (_) @body)
])) @definition.function
(lexical_declaration (variable_declarator name: (identifier) @name value: (class body: (_) @body))) @definition.class
(variable_declaration (variable_declarator name: (identifier) @name value: (class body: (_) @body))) @definition.class

; What a module gives as a whole has no name of its own, unless it says one.
((expression_statement (assignment_expression
  left: [
    (identifier) @name
    (member_expression property: (property_identifier) @name)
  ]
  right: [
    (arrow_function body: (_) @body)
    (function_expression body: (_) @body)
    (generator_function body: (_) @body)
  ])) @definition.function
  (#not-eq? @name "exports"))
((expression_statement (assignment_expression
  left: [
    (identifier) @name
    (member_expression property: (property_identifier) @name)
  ]
  right: (class body: (_) @body))) @definition.class
  (#not-eq? @name "exports"))
(expression_statement (assignment_expression right: [
  (function_expression name: (_))
  (generator_function name: (_))
] @definition.function))
(expression_statement (assignment_expression right: (class name: (_)) @definition.class))
(pair key: (property_identifier) @name value: [
  (arrow_function body: (_) @body)
  (function_expression body: (_) @body)
  (generator_function body: (_) @body)
]) @definition.method

; Not what `require` gives: that is an import.
(lexical_declaration (variable_declarator name: (identifier) @name !value)) @definition.variable
(variable_declaration (variable_declarator name: (identifier) @name !value)) @definition.variable
(lexical_declaration (variable_declarator name: (identifier) @name value: [
  (array) (await_expression) (binary_expression) (false) (identifier) (member_expression) (new_expression) (null)
  (number) (object) (parenthesized_expression) (regex) (string) (subscript_expression) (template_string) (ternary_expression) (true)
  (unary_expression) (undefined)
])) @definition.variable
(variable_declaration (variable_declarator name: (identifier) @name value: [
  (array) (await_expression) (binary_expression) (false) (identifier) (member_expression) (new_expression) (null)
  (number) (object) (parenthesized_expression) (regex) (string) (subscript_expression) (template_string) (ternary_expression) (true)
  (unary_expression) (undefined)
])) @definition.variable
((lexical_declaration (variable_declarator name: (identifier) @name
  value: (call_expression function: (identifier) @function))) @definition.variable
  (#not-eq? @function "require"))
(lexical_declaration (variable_declarator name: (identifier) @name
  value: (call_expression function: [(call_expression) (member_expression) (parenthesized_expression)]))) @definition.variable
((variable_declaration (variable_declarator name: (identifier) @name
  value: (call_expression function: (identifier) @function))) @definition.variable
  (#not-eq? @function "require"))
