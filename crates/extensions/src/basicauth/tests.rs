// SPDX-License-Identifier: Apache-2.0

use pipeline::config::from_yaml;

use super::*;

fn server(yaml: &str) -> Server {
    let config = from_yaml::<Config>(yaml).expect("valid settings").htpasswd;
    let config = config.expect("a server");
    Server { config, users: OnceLock::new(), verifying: Arc::new(Semaphore::new(VERIFYING_MAX)) }
}

async fn shown(server: &Server, value: &str) -> Result<AuthData, Denied> {
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, value.parse().expect("value"));
    server.authenticate(&headers).await
}

fn basic(credentials: &str) -> String {
    format!("Basic {}", STANDARD.encode(credentials))
}

#[tokio::test]
async fn every_kind_of_hash_lets_in_its_password_and_no_other() {
    // openssl passwd -apr1 -salt abcdefgh s3cret, openssl passwd -1, htpasswd -s
    let bcrypt = bcrypt::hash("s3cret", 4).expect("a hash");
    let lines = [
        "apr:$apr1$abcdefgh$M2T3erDstkD7SsE2QQnfH0",
        "md5:$1$abcdefgh$7.vq19w/w3Vm.hk1FOA7Q/",
        "sha:{SHA}/vNB+F2HQ559kaLUZbmHHvZrXpg=",
        &format!("bcrypt:{bcrypt}"),
        "plain:s3cret",
    ];
    let yaml = format!("htpasswd: {{inline: \"{}\"}}", lines.join("\\n"));
    let server = server(&yaml);
    for user in ["apr", "md5", "sha", "bcrypt", "plain"] {
        let data = shown(&server, &basic(&format!("{user}:s3cret"))).await.expect(user);
        assert_eq!(data[0], ("username".to_owned(), user.to_owned()));
        for wrong in ["s3cre", "s3crets", "", "S3cret"] {
            let denied = shown(&server, &basic(&format!("{user}:{wrong}"))).await;
            assert!(denied.is_err(), "{user}:{wrong}");
        }
        assert!(shown(&server, &basic(&format!("{user}:s3cret"))).await.is_ok(), "remembered");
    }
    for value in [basic("nobody:s3cret"), basic("apr"), "Basic ?".into(), "Bearer x".into()] {
        let denied = shown(&server, &value).await.expect_err(&value);
        assert!(denied.challenge.to_str().expect("text").starts_with("Basic realm="));
    }
    assert!(server.authenticate(&HeaderMap::new()).await.is_err());
}

#[test]
fn a_client_sends_its_user_and_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    std::fs::write(&file, "s3cret\n").expect("writes");
    for yaml in [
        "client_auth: {username: me, password: s3cret}".to_owned(),
        format!("client_auth: {{username: me, password_file: {}}}", file.display()),
    ] {
        let config = from_yaml::<Config>(&yaml).expect("valid").client_auth.expect("client");
        let client = Client { config, header: OnceLock::new() };
        let mut headers = HeaderMap::new();
        client.add_to(&mut headers).expect("credentials");
        assert_eq!(headers[header::AUTHORIZATION], basic("me:s3cret").as_str());
    }
}

#[test]
fn wrong_settings_are_told() {
    for (yaml, message) in [
        ("{}", "no credential source provided"),
        (
            "{htpasswd: {inline: 'a:b'}, client_auth: {username: a}}",
            "only one of `htpasswd` or `client_auth` can be specified",
        ),
        ("htpasswd: {inline: nonsense}", "htpasswd::inline: a line of htpasswd is not user:hash"),
        ("htpasswd: {inline: 'a:$6$x$y'}", "the hash of user \"a\" is of a kind not known here"),
        ("htpasswd: {file: /no/such}", "htpasswd::file: cannot read /no/such"),
        ("client_auth: {password: a}", "client_auth::username: requires a username"),
    ] {
        let told = from_yaml::<Config>(yaml).err().expect(message);
        assert!(told.contains(message), "{told}");
    }
}
