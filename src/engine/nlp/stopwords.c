#include "engine/nlp/stopwords.h"

#include <string.h>

/* clang-format off */
static const struct { const char *lang, *words; } LISTS[] = {
{"en", " a about above across after again against all almost also although always am among an and "
 "another any anybody anyone anything are aren't around as at away back be became because become "
 "becomes been before began behind being below besides best better between beyond both but by came "
 "can can't cannot come comes could couldn't did didn't do does doesn't doing don't done down during "
 "each either else enough even ever every everybody everyone everything far few for from further get "
 "gets give given gives go goes going gone got had hadn't has hasn't have haven't having he he'd he'll "
 "he's hence her here here's hers herself him himself his how however i i'd i'll i'm i've if in indeed "
 "instead into is isn't it it'd it'll it's its itself just keep kept know known last later least less "
 "let let's like likely made make makes making many may maybe me meanwhile might mine more moreover "
 "most mostly much must my myself near nearly neither never nevertheless next no nobody none nor not "
 "nothing now nowhere of off often on once one ones only onto or other others otherwise our ours "
 "ourselves out over own per perhaps put quite rather really said same saw say says see seem seemed "
 "seems seen several shall she she'd she'll she's should shouldn't since so some somebody someone "
 "something sometimes somewhat soon still such take taken takes than that that's the their theirs them "
 "themselves then there there's therefore these they they'd they'll they're they've thing things this "
 "those though through throughout thus to together told too took toward towards two under unless until "
 "up upon us use used uses using usually very was wasn't way we we'd we'll we're we've well went were "
 "weren't what what's whatever when whenever where whereas wherever whether which while who who's "
 "whoever whole whom whose why will with within without won't would wouldn't yes yet you you'd you'll "
 "you're you've your yours yourself yourselves "},
{"de", " ab aber alle allem allen aller alles als also am an ander andere anderem anderen anderer "
 "anderes auch auf aus außer bald bei beide beim bereits bevor bin bis bist da dabei dadurch dafür "
 "dagegen daher damit danach dann daran darauf daraus darf darin darum das dass davon davor dazu dein "
 "deine dem den denen denn der deren des deshalb dessen dich die dies diese diesem diesen dieser dieses "
 "dir doch dort du durch dürfen ebenso ein eine einem einen einer eines einige einmal er erst es etwa "
 "etwas euch euer eure für ganz gar gegen gibt ging habe haben hat hatte hatten hier hin hinter ich ihm "
 "ihn ihnen ihr ihre ihrem ihren ihrer im immer in indem ins ist ja jede jedem jeden jeder jedes jedoch "
 "jene jetzt kann kaum kein keine keinem keinen keiner können könnte machen man manche mehr mein meine "
 "mich mir mit muss müssen nach nachdem neben nein nicht nichts noch nun nur ob oben oder ohne pro "
 "schon sehr sein seine seinem seinen seiner seit selbst sich sie sind so sobald sogar solche soll "
 "sollen sollte sondern sonst sowie statt über um und uns unser unsere unten unter viel viele vom von "
 "vor während war waren was weder weil weiter welche welchem welchen welcher welches wenig wenn wer "
 "werde werden wie wieder will wir wird wo wollen worden wurde wurden würde würden zu zum zur zwar "
 "zwischen "},
{"fr", " à afin ai ainsi alors après as assez au aucun aucune aujourd'hui aussi autour autre autres aux "
 "avaient avais avait avant avec avez avoir avons beaucoup bien c'est car ce ceci cela celle celles "
 "celui cependant ces cet cette ceux chaque chez comme comment contre d'un d'une dans de déjà depuis "
 "des deux devant doit donc dont du elle elles en encore entre es est et étaient était être eu eux fait "
 "faire fois font hors ici il ils je jusque jusqu'à l' la là le les leur leurs lors lorsque lui ma mais "
 "malgré me même mêmes mes mieux moi moins mon n'est ne ni non nos notre nous on ont ou où par parce "
 "parfois parmi pas pendant peu peut peuvent plus plusieurs plutôt pour pourquoi près puis puisque "
 "qu'il qu'elle qu'on quand que quel quelle quelles quelque quelques quels qui quoi sa sans se selon "
 "sera ses si sien son sont sous souvent sur ta te tel telle tes toi ton toujours tous tout toute "
 "toutes très trop tu un une va vers voici voilà vos votre vous y "},
{"es", " a al algo algún alguna algunas alguno algunos allí ante antes aquel aquella aquellas aquellos "
 "aquí así aún aunque bajo bien cada casi como cómo con contra cual cuál cuales cualquier cuando cuándo "
 "de del desde después donde dónde dos durante e el él ella ellas ellos en entonces entre era eran eres "
 "es esa esas ese eso esos está están estas este esto estos estoy fue fueron ha había habían han hasta "
 "hay hace hacer he hemos incluso junto la las le les lo los luego más me mediante menos mi mí mientras "
 "mis misma mismas mismo mismos mucha muchas mucho muchos muy nada ni ningún ninguna ninguno no nos "
 "nosotros nuestra nuestras nuestro nuestros nunca o otra otras otro otros para pero poco por porque "
 "pronto pues puede pueden que qué quien quién quienes se sea sean según ser será si sí sido siempre "
 "sin sino sobre sólo solo son soy su sus también tampoco tan tanto te tener tiene tienen toda todas "
 "todavía todo todos tras tu tú tus un una unas uno unos usted ustedes va van y ya yo "},
{"it", " a abbiamo ad agli ai al alcuna alcune alcuni alcuno alla alle allo allora altra altre altri "
 "altro anche ancora avere aveva avevano bene c'è che chi ci ciascuno cioè ciò coi col come con contro "
 "così cui da dagli dai dal dalla dalle dallo davanti degli dei del dell' della delle dello dentro di "
 "dopo dove due durante e è ed era erano essere fa fare finché fino fra gli ha hai hanno ho i il in "
 "infatti intanto invece io l' la là le lei li lì lo loro lui ma mai me meno mentre mi mia mie miei mio "
 "molta molte molti molto ne né negli nei nel nella nelle nello nessun nessuna nessuno niente noi non "
 "nostra nostre nostri nostro o ogni oltre ora oppure per perché perciò però più poco poi possono prima "
 "proprio può pure qua qual quale quali qualche quando quanto quasi quella quelle quelli quello questa "
 "queste questi questo qui quindi sarà se sei sempre senza si sia siamo sono sopra sotto sta stata "
 "state stati stato stessa stesso su sua sue sugli sui sul sulla sulle suo suoi tanto te ti tra troppo "
 "tu tua tue tuo tuoi tutta tutte tutti tutto un un' una uno verso vi via voi vostra vostro "},
{"pt", " a à ainda além algo alguém algum alguma algumas alguns ali ante antes ao aos apenas após aquela "
 "aquelas aquele aqueles aqui aquilo as às assim até bem cada com como contra da das de dela delas dele "
 "deles depois desde dessa desse desta deste do dois dos durante e é ela elas ele eles em enquanto "
 "entre era eram essa essas esse esses esta está estão estas estava este estes eu fazer foi foram há "
 "isso isto já la lhe lhes lo logo mais mas me mediante mesma mesmo meu meus minha minhas muita muitas "
 "muito muitos na não nas nem nenhum nenhuma nessa nesse nesta neste no nos nós nossa nossas nosso "
 "nossos num numa nunca o onde os ou outra outras outro outros para pela pelas pelo pelos pode podem "
 "pois por porém porque pouco pouca pra qual quais qualquer quando quanto que quem se seja sem sempre "
 "sendo ser será seu seus si sido sim sob sobre somente sua suas também tanto tão te tem têm ter teu "
 "toda todas todo todos tu tua um uma umas uns vai vão você vocês vos "},
{"nl", " aan achter al alle alleen alles als altijd ander andere anders ben bij bijna binnen boven buiten "
 "daar daarna dan dat de deze die dit doch doen door dus echter een eens eerst elk elke en enkele er "
 "erg ergens even ge geen gewoon haar had hadden heb hebben heeft hem hen het hier hij hoe hun iemand "
 "iets ik in indien is ja je jij jou jouw jullie kan kon konden kunnen langs maar me meer men met mij "
 "mijn misschien moest moet moeten mogen na naar naast niet niets niks nog nooit nu of om omdat onder "
 "ons onze ook op over pas per reeds rond samen sinds soms steeds te tegen ten ter terug terwijl tijdens "
 "toch toen tot tussen uit uw van vanaf vaak veel voor vooral waar waarom wanneer want waren was wat we "
 "weer weinig wel welke werd werden wie wij wil worden wordt zal ze zeer zelf zich zij zijn zo zoals "
 "zonder zou zouden zulke "},
{"sv", " all alla allt alltid än andra att av bara bland blev bli blir både då där därför de del dem den "
 "denna deras dess dessa det detta dig din dina ditt du efter eller en er ett få får för från före "
 "genom gör göra ha hade han hans har hela hennes här hon honom hos hur i ibland icke igen in inga ingen "
 "inget innan inom inte ja jag kan kunde kunna med medan mellan men mer mest mig min mina mitt mot mycket "
 "många måste när någon något några nej ni nu nästan och också om oss på redan samma samt sedan ser sig "
 "sin sina sitt själv ska skall skulle som så sådan till trots ut utan under upp ur vad var vara varför "
 "varit varje vem vi vid vilka vilken vilket vår våra även är över "},
{"pl", " a aby albo ale ani aż bardzo bez bo być był była było były by bym cały chociaż ci co coraz coś "
 "czy czyli dla dlaczego dlatego do dość dużo dwa gdy gdyby gdzie go i ich ile im inna inne inny innych "
 "iż ja jak jaka jakie jako jakiś je jeden jednak jednym jego jej jemu jest jestem jeszcze jeśli jeżeli "
 "już każda każde każdy kiedy kilka kto która które którego której który których którym którzy lecz "
 "lub ma mają mam mi między mnie mnich mogą może można mój mu my na nad nam nas nasz nawet nią nic nich "
 "nie niego niej nigdy nim niż no o obok od on ona one oni ono oraz pan po pod podczas ponieważ poza "
 "przed przede przez przy się są sobie swoje ta tak taka taki takie także tam te tego tej temu ten teraz "
 "też to tobie tu twój ty tych tylko tym u w we wam was według wiele więc wszystko wszystkie wy z za "
 "zawsze ze że żeby "},
{"ru", " а без более больше будет бы был была были было быть в вам вас ведь весь во вот впрочем все всегда "
 "всего всех всю вы где да даже два для до другой другие его ее её ей ему если есть еще ещё же за здесь "
 "и из или им иногда их к как какая какой когда конечно которая которого которое которой которые который "
 "которых кто куда ли лучше между меня мне много может можно мой моя мы на над надо наш не него нее ней "
 "нельзя нет ни нибудь никогда ним них ничего но ну о об один однако он она они оно от очень перед по "
 "под после потом потому почему почти при про раз с сам свою себе себя сейчас со совсем так также такой "
 "там тебя тем теперь то тогда того тоже только том тот тут ты у уж уже хоть хотя чего чей чем через "
 "что чтобы эта эти этих это этого этой этом этот эту я "},
{"uk", " а або але без би був була були було бути в вам вас весь ви вже від він вона вони воно все всі "
 "де для до дуже ж з за зі і із інші її їй їм їх його й коли кожен крім який яка яке які якщо лише між "
 "мене мені ми може мій моя на навіть над нам нас наш не немає ні них ніж ніколи о один от під після "
 "перед по потім при про саме свій себе так також там та такий тебе те тепер ти тим то тоді того той "
 "тому тут у усе хто хоча це цей ця ці через чи що щоб я як "},
{"tr", " acaba ama ancak artık aslında az bana bazı belki ben benim beri bile bir birçok biri birkaç biz "
 "bizim bu buna bunda bundan bunlar bunu bunun burada çok çünkü da daha de defa değil diye dolayı en "
 "fakat gibi göre hangi hatta hem henüz hep hepsi her hiç için ile ilgili ise işte kadar karşı kendi "
 "kez ki kim kimse mı mi mu mü nasıl ne neden nerede o olan olarak oldu olduğu olduğunu olsa on ona "
 "ondan onlar onu onun önce orada öyle sadece sanki şey şimdi siz sizin sonra söyle şu şunu tarafından "
 "tüm ve veya ya yani yine yok zaten "},
{"fi", " ei eikä eivät ehkä että hän häntä he heidän hänen ja jo johon joka jolla jonka jos joskus jossa "
 "jota jotka kaikki kanssa kautta ken kenen koko koska kuin kuinka kuka kun kunnes kyllä lähes me "
 "meidän mikä miksi minä minun missä mitä miten molemmat mukaan mutta myös ne niiden niin niitä nyt "
 "näin oli olivat olla olen on ovat pitää se sekä sen siellä siinä siis sinä sitä sitten tai taas tämä "
 "tämän tässä tätä te tuo usein vaan vai vaikka vain vielä voi yli "},
{"da", " af alle alt anden andet at bare begge blev blive bliver da de dem den denne der deres det dette "
 "dig din dog du efter eller en end er et få får for fordi fra før gennem gør ham han hans har havde "
 "have helt hende hendes her hos hun hvad hvem hver hvis hvor hvordan hvorfor i igen ikke ind ingen "
 "jeg jer kan kom kun kunne lige man mange med meget mellem men mens mere mig min mod må når ned nogen "
 "noget nogle nu ny og også om op os over på samme selv sig sin sit skal skulle som så sådan til uden "
 "ud under var ved vi vil ville vor være været "},
{"cs", " a aby aj ale ani asi až bez bude budou by byl byla byli bylo být co což či další do ho i já jak "
 "jaká jaké jako je jeho jej její jejich jen ještě ji jich jim jiné již jsem jsi jsme jsou jste k kam "
 "kde kdo kdy když která které který kteří ke ku ma mají máme mezi mi mít mně mnoho moje můj může my na "
 "nad nám nás náš ne nebo nebyl než nic nich není o od on ona oni ono pak po pod podle pokud pouze právě "
 "pro proč proto protože před při s se si sice své svůj ta tak také takže tam tato te tedy ten tento to "
 "tohoto tom toto tu ty tyto u už v vám vás váš ve více však všechny vy z za zde ze že "},
{"id", " ada adalah agar akan antara anda apa atau bagi bahwa banyak beberapa belum bisa bukan dalam dan "
 "dapat dari dengan di dia hanya harus ia ini itu jika juga kami karena ke kepada kita lagi lain lebih "
 "mereka namun oleh pada paling para sangat saat saja salah sampai saya sebagai sebuah secara sedang "
 "sehingga sejak selama semua seperti serta setelah setiap sudah tanpa telah tentang tersebut tetapi "
 "tidak untuk yang "},
/* Between these single characters a run of Chinese is cut. */
{"zh", " 的 了 是 在 和 与 及 或 也 都 就 而 但 把 被 让 给 对 从 到 向 于 以 为 因 所 之 其 这 那 哪 你 我 他 她 它 们 "
 "着 过 吗 呢 吧 啊 不 没 很 太 更 最 还 又 再 才 只 会 能 要 想 有 个 些 并 且 等 "},
{"ja", " これ それ あれ この その あの こと もの ため よう です ます した する して いる ある なる れる られ から まで "
 "など ので のに けど でも また そして しかし "},
};
/* clang-format on */

const char *mr_stopwords(const char *lang) {
    for (size_t i = 0; lang && i < sizeof LISTS / sizeof *LISTS; i++)
        if (!strcmp(LISTS[i].lang, lang))
            return LISTS[i].words;
    return NULL;
}

bool mr_stopword(const char *list, struct mr_str low) {
    char find[48];
    if (!list || !low.n || low.n > sizeof find - 3)
        return false;
    find[0] = ' ';
    size_t n = 1;
    for (size_t i = 0; i < low.n; i++) {
        if (low.n - i >= 3 &&
            !memcmp(low.p + i, "\xe2\x80\x99", 3)) { /* a typographic apostrophe */
            find[n++] = '\'';
            i += 2;
        } else if (low.p[i] == ' ' || !low.p[i])
            return false;
        else
            find[n++] = low.p[i];
    }
    find[n++] = ' ';
    find[n] = 0;
    return strstr(list, find);
}
