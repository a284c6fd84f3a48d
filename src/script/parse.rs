//! Lines to statements: blocks by their indentation.

use std::rc::Rc;

use super::ast::{Class, Expr, Function, Parameter, Source, Stmt, Target};
use super::expression::Words;
use super::lexer::{Line, Token, lines};
use crate::error::{Error, Result};

/// Blocks inside blocks that a file may have.
const DEPTH: usize = 60;

/// Reads a file.
///
/// # Errors
///
/// `Malformed`, with the number of the line, for what the language does not have.
pub fn parse(text: &str) -> Result<Source> {
    let lines = lines(text)?;
    let mut reader = Reader {
        lines: &lines,
        at: 0,
    };
    let mut source = Source::default();
    while let Some(line) = reader.peek() {
        match keyword(line) {
            "class" => source.classes.push(reader.class()?),
            "def" => source.functions.push(Rc::new(reader.function()?)),
            // `from x import y`, `op_version_set = 1`
            _ => reader.at += 1,
        }
    }
    Ok(source)
}

struct Reader<'l> {
    lines: &'l [Line],
    at: usize,
}

/// The first word of a line.
fn keyword(line: &Line) -> &str {
    match line.tokens.first() {
        Some(Token::Name(name)) => name,
        _ => "",
    }
}

fn wrong(line: &Line, what: &str) -> Error {
    Error::malformed(format!("line {}: {what}", line.number))
}

impl<'l> Reader<'l> {
    fn peek(&self) -> Option<&'l Line> {
        self.lines.get(self.at)
    }

    /// The lines of a block follow as long as this gives one.
    fn inside(&self, indent: usize) -> Option<&'l Line> {
        self.peek().filter(|line| line.indent > indent)
    }

    fn class(&mut self) -> Result<Class> {
        let line = &self.lines[self.at];
        self.at += 1;
        let mut class = Class::default();
        match &line.tokens[..] {
            [_, Token::Name(name), rest @ ..] => {
                class.name = name.to_string();
                if let [Token::Sign("("), Token::Name(base), ..] = rest {
                    class.base = base.to_string();
                }
            }
            _ => return Err(wrong(line, "a class without a name")),
        }
        while let Some(inner) = self.inside(line.indent) {
            match keyword(inner) {
                "def" => {
                    let function = self.function()?;
                    class.methods.push(Rc::new(function));
                }
                "__parameters__" => {
                    self.at += 1;
                    let names = inner.tokens.iter().filter_map(|token| match token {
                        Token::Str(name) => Some(name.to_string()),
                        _ => None,
                    });
                    class.parameters = names.collect();
                }
                _ => {
                    self.at += 1;
                    attribute(inner, &mut class)?;
                }
            }
        }
        Ok(class)
    }

    fn function(&mut self) -> Result<Function> {
        let line = &self.lines[self.at];
        self.at += 1;
        let mut words = Words::new(line, 1);
        let name = words
            .name()
            .ok_or_else(|| wrong(line, "a function without a name"))?;
        words.expect("(")?;
        let mut parameters = Vec::new();
        while !words.take(")") {
            words.take("*");
            let name = words
                .name()
                .ok_or_else(|| wrong(line, "a parameter without a name"))?;
            if words.take(":") {
                words.expression()?;
            }
            let default = match words.take("=") {
                true => Some(words.expression()?),
                false => None,
            };
            parameters.push(Parameter { name, default });
            if !words.take(",") && !words.is(")") {
                return Err(wrong(line, "parameters without a comma between them"));
            }
        }
        if words.take("->") {
            words.expression()?;
        }
        words.expect(":")?;
        let body = self.block(line.indent, DEPTH)?;
        Ok(Function {
            name: name.to_string(),
            parameters,
            body,
        })
    }

    /// The statements that are further in than `indent`.
    fn block(&mut self, indent: usize, depth: usize) -> Result<Vec<Stmt>> {
        let mut body = Vec::new();
        while let Some(line) = self.inside(indent) {
            let Some(depth) = depth.checked_sub(1) else {
                return Err(wrong(line, "blocks lie too deep in each other"));
            };
            body.extend(self.statement(line, depth)?);
        }
        Ok(body)
    }

    fn statement(&mut self, line: &'l Line, depth: usize) -> Result<Option<Stmt>> {
        self.at += 1;
        let mut words = Words::new(line, 1);
        let statement = match keyword(line) {
            "pass" | "import" | "from" => return Ok(None),
            "if" | "elif" => {
                let condition = words.expression()?;
                let then = self.block(line.indent, depth)?;
                let other = match self.peek().filter(|next| next.indent == line.indent) {
                    Some(next) if keyword(next) == "else" => {
                        self.at += 1;
                        self.block(line.indent, depth)?
                    }
                    Some(next) if keyword(next) == "elif" => {
                        let depth = depth
                            .checked_sub(1)
                            .ok_or_else(|| wrong(next, "too many branches"))?;
                        self.statement(next, depth)?.into_iter().collect()
                    }
                    _ => Vec::new(),
                };
                Stmt::If(condition, then, other, line.number)
            }
            "while" => {
                let condition = words.expression()?;
                Stmt::While(condition, self.block(line.indent, depth)?, line.number)
            }
            "for" => {
                let mut targets = vec![target(words.operand()?, line)?];
                while words.take(",") {
                    targets.push(target(words.operand()?, line)?);
                }
                if words.name().as_deref() != Some("in") {
                    return Err(wrong(line, "`for` without `in`"));
                }
                let items = words.expression()?;
                Stmt::For(targets, items, self.block(line.indent, depth)?, line.number)
            }
            "with" => {
                // what a context manager changes is no shape
                let body = self.block(line.indent, depth)?;
                Stmt::If(Expr::Bool(true), body, Vec::new(), line.number)
            }
            "return" => Stmt::Return(match words.is_at_end() {
                true => Expr::None,
                false => words.expressions()?,
            }),
            "def" => {
                // the body of a fork: reached by no call that is followed
                self.block(line.indent, depth)?;
                return Ok(None);
            }
            _ => assignment(line)?,
        };
        Ok(Some(statement))
    }
}

/// `a = b`, `a, b, = c`, `a : Type = b`, or an expression alone.
fn assignment(line: &Line) -> Result<Stmt> {
    let mut words = Words::new(line, 0);
    let first = words.expressions()?;
    if words.take(":") {
        words.expression()?;
        if words.is_at_end() {
            return Ok(Stmt::Do(Expr::None, line.number));
        }
    }
    if !words.take("=") {
        return match words.is_at_end() {
            true => Ok(Stmt::Do(first, line.number)),
            false => Err(wrong(line, "more follows where the statement ends")),
        };
    }
    let value = words.expressions()?;
    if !words.is_at_end() {
        return Err(wrong(line, "more follows where the statement ends"));
    }
    let targets = match first {
        Expr::Tuple(items) => items
            .into_iter()
            .map(|item| target(item, line))
            .collect::<Result<Vec<_>>>()
            .map(|items| vec![Target::Tuple(items)])?,
        single => vec![target(single, line)?],
    };
    Ok(Stmt::Assign(targets, value, line.number))
}

fn target(expression: Expr, line: &Line) -> Result<Target> {
    Ok(match expression {
        Expr::Name(name) => Target::Name(name),
        Expr::Attribute(object, name) => Target::Attribute(*object, name),
        Expr::Item(list, index) => Target::Item(*list, *index),
        Expr::Tuple(items) => {
            let items = items.into_iter().map(|item| target(item, line));
            Target::Tuple(items.collect::<Result<_>>()?)
        }
        _ => return Err(wrong(line, "nothing can be assigned to this")),
    })
}

/// `name : Type`, `name : Final[Type] = value`
fn attribute(line: &Line, class: &mut Class) -> Result<()> {
    let mut words = Words::new(line, 0);
    let Some(name) = words.name() else {
        return Ok(()); // "text"
    };
    if words.take(":") {
        words.expression()?;
        class.fields.push(name.to_string());
    }
    if words.take("=") {
        let value = words.expressions()?;
        class.constants.push((name.to_string(), value));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::script::{Expr, Stmt, Target};

    const CODE: &str = r#"
class Net(Module):
  __parameters__ = ["weight", ]
  __buffers__ = []
  weight : Tensor
  stride : Final[Tuple[int, int]] = (2, 2)
  def forward(self: __torch__.Net,
    x: Tensor, scale: Optional[float]=None) -> Tensor:
    a, b, = torch.chunk(x, 2, -1)
    y : Optional[Tensor] = a
    if torch.__is__(scale, None):
      z = (self).helper(torch.add(a, b, alpha=2), "a\"b", [1, 2.5e-3, ], )
    elif True:
      pass
    else:
      z = -x[0].size(1) + 2 * 3 if not a else inf
    for i in range(3):
      _0 = torch.append(z, i)
    return (z, annotate(List[int], []))
def free(x: Dict[str, Tensor]) -> NoneType:
  while torch.lt(x, 3):
    self.count = {"k": 1, }
  return None
"#;

    #[test]
    fn classes_functions_and_statements() {
        let source = parse(CODE).unwrap();
        let class = &source.classes[0];
        assert_eq!(
            (class.name.as_str(), class.base.as_str()),
            ("Net", "Module")
        );
        assert_eq!(class.parameters, ["weight"]);
        assert_eq!(class.fields, ["weight", "stride"]);
        assert_eq!(
            class.constants.len(),
            2,
            "stride, and the names of the buffers"
        );
        let forward = &class.methods[0];
        let names: Vec<&str> = forward.parameters.iter().map(|p| &*p.name).collect();
        assert_eq!(names, ["self", "x", "scale"]);
        assert!(matches!(forward.parameters[2].default, Some(Expr::None)));
        assert!(
            matches!(&forward.body[0], Stmt::Assign(targets, ..) if matches!(&targets[..], [Target::Tuple(items)] if items.len() == 2))
        );
        let Stmt::If(_, then, other, line) = &forward.body[2] else {
            panic!("{:?}", forward.body[2]);
        };
        assert_eq!((then.len(), other.len(), *line), (1, 1, 11));
        assert!(matches!(&other[0], Stmt::If(_, _, last, _) if last.len() == 1));
        assert_eq!(source.functions[0].name, "free");
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_its_line() {
        for (code, line) in [
            ("def f(x):\n  y = (1, 2\n", 2),
            ("def f(x):\n  y = 1 ! 2\n", 2),
            ("def f(x):\n  y = \"open\n", 2),
            ("class\n", 1),
            ("def f(x):\n  return 1)\n", 2),
        ] {
            let error = parse(code).unwrap_err().to_string();
            assert!(error.contains(&format!("line {line}")), "{error}");
        }
        let deep = format!(
            "def f(x):\n  y = {}x{}\n",
            "(".repeat(5000),
            ")".repeat(5000)
        );
        assert!(parse(&deep).unwrap_err().to_string().contains("too deep"));
        let blocks: String = (0..500)
            .map(|n| format!("{}if x:\n", "  ".repeat(n + 1)))
            .collect();
        assert!(parse(&format!("def f(x):\n{blocks}")).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(code: String, line in "[ a-z\\[\\]\\(\\){},\".=:0-9+*/%<>!-]{0,80}") {
            let _ = parse(&code);
            let _ = parse(&format!("class A(Module):\n  {line}\n  def f(self):\n    {line}\n    x = {line}\n"));
        }
    }
}
