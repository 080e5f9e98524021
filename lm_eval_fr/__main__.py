from lm_eval_fr.cli import main

if __name__ == "__main__":
    main()
