import js from "@eslint/js";
import globals from "globals";

const RULES = {
  eqeqeq: "error",
  "no-implicit-globals": "error",
  "no-unused-vars": ["error", { argsIgnorePattern: "^_$" }],
  "no-var": "error",
  "object-shorthand": "error",
  "prefer-const": "error",
};

export default [
  { ignores: ["static/vendor/", "node_modules/", ".venv/"] },
  js.configs.recommended,
  { rules: RULES },
  { files: ["static/js/**/*.js", "static/greenwave.js"], languageOptions: { globals: globals.browser } },
  { files: ["static/js/theme-first.js"], languageOptions: { sourceType: "script" } },
  { files: ["tests/js/**/*.js", "tests/clients/*.mjs", "eslint.config.js"], languageOptions: { globals: globals.node } },
];
